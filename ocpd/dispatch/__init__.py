"""The hall where every turn waits, runs and is counted: Turn in, Events out."""
