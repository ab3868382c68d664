"""A first agent over plain HTTP: register it, give it a goal, follow the run, print the answer.

python examples/first_agent.py HOME GOAL, where HOME is the $AOS_HOME of a running AOS.
"""

import json
import sys
from pathlib import Path

import httpx

home, goal = Path(sys.argv[1]), sys.argv[2]
url = json.loads((home / "node.json").read_text())["url"]
key = json.loads((home / "credentials").read_text())["api_key"]
with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as aos:
    aos.post("/api/v1/agents", json={"name": "first"})  # answers 409 if it is there already
    run = aos.post("/api/v1/runs", json={"agent": "first", "goal": goal}).raise_for_status().json()
    with aos.stream("GET", f"/api/v1/runs/{run['id']}/events", timeout=60) as events:
        for line in events.iter_lines():
            if line.startswith("event:"):
                print(line)
    print(aos.get(f"/api/v1/runs/{run['id']}").json()["answer"])
