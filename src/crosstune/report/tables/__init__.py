"""What the report says: tables, differences, findings."""
