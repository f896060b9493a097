"""Images measured: parsers make one model, formatters print it."""
