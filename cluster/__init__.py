"""The ground: Ray, Postgres and the process. Knows no word of agents, runs or skills."""
