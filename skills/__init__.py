"""What can be done: contracts, the `@skill` decorator, the executor, and the skills that ship."""
