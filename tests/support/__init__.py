"""What tests share: servers that speak real protocols, and short ways to call skills."""
