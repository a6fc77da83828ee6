"""What only the book needs: README.md says what each room is for."""
