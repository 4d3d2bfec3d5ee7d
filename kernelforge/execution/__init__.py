"""Running plans: launches, what is reported late, plans on disk, and who watches."""
