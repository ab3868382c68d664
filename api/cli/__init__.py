"""The command `aos`: nouns and verbs that mirror the API.

`main.py` names the commands and imports none of them: each is imported when it is run. They print
for people, or JSON with `--json`; errors go to standard error and end in a next action.

    exit code 0    done; a watched run completed
              1    a watched run did not complete; a check failed; AOS could not do it
              2    the command line or the configuration cannot be used
              3    no AOS answers
              4    AOS refused the request
              130  interrupted (a watched run goes on)
"""
