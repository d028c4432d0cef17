"""What people do: pages to read, and tables that are made from the data they describe."""
