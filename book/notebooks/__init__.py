"""The chapters as notebooks: run and stored, and written so that they run anywhere."""
