"""AOS: an operating system for AI agents on Ray.

`aos.api` is the door, `aos.supervisors` keep `aos.actors` alive and in bounds,
actors use `aos.skills`, and everything stands on `aos.cluster`.
"""
