"""Processes that have imported the slow libraries already, from which jobs are forked.

The executor starts one ``zygote`` per set of preloaded modules. For each job it forks an ``init``: the first
process of the job's namespaces, which starts the job's command and every ``python`` that the job calls.
What runs inside (zygote, init, interpreter, launcher) uses the standard library only.
"""
