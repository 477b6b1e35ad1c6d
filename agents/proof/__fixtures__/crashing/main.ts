// Wrong: it does not start.
throw new Error("no such setting");
