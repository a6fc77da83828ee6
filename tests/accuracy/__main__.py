"""``python -m tests.accuracy`` measures everybody on the same numbers and rewrites the book's tables."""

from tests.accuracy.table import main

main()
