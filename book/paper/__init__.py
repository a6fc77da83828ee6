"""The book on paper: one PDF, set with LaTeX and checked."""
