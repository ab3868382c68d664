"""Teams: supervisors that users declare. Their children are agents, services and other teams.

A declaration is a file; what is made of it is a row, `teams`, and one row for each agent that it
names, `team_members`. The agents' supervisor keeps each team that should run as one of its
children, a `Supervisor` in its own process, so a team obeys the same decisions as everything else
and costs no process of its own.

What must hold:

* **Rows say what should be.** `state` is `running`, `stopped` (a person said so) or `ended` (it
  ended by itself). The keeper compares rows with what is there, once in a while and whenever it is
  poked; a lost poke costs seconds, and a successor of the agents' supervisor needs no other memory.
* **An end is written under a fence.** Only the current supervisor process may say that a team has
  ended, and only of the `generation` that it has seen: starting a team raises the generation, so a
  late word about an earlier life ends nothing.
* **A team that runs binds its agents; others bind nobody.** While a team is there its supervisor
  alone starts its members. The agents of a team that is stopped, has ended or is quarantined are
  served like any other: an accepted run always ends.
* **A goal is submitted once,** in the transaction that makes the team. A member whose goal is
  reached and who has nothing else to do ends at once when it is started again.
* **Services are not durable.** They are processes of the agents' supervisor's own and end with it;
  their names are derived, so Ray itself refuses a second one of the same place while one lives.
"""
