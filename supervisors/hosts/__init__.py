"""Host processes: one manager per machine makes them, vouches for them, and takes them back."""
