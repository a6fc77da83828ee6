"""What `logitkit` promises about accuracy: the numbers drawn, the promises, and the tables that one code writes."""
