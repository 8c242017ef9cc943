"""Does the scale search find the training scale? Slides with a known truth, runs, tables, figure."""
