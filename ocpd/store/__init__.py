"""What ocpd remembers: one SQLite file, ``ocpd.db``, in the state directory.

The words of this room:

- **store**: everything together; entered with ``async with Store(directory)``.
- **writer**: the one thread that changes the file. It takes what is queued, writes it as one
  **batch** (one transaction) and only then acknowledges it.
- **job**: work that somebody awaits. Done means durable.
- **posted row**: a row that nobody awaits. It may be **lost** (full disk, locked file, full
  queue); a lost usage row is counted and reported, and never costs a turn.
- **read door**: a second connection on a second thread, for questions.
- **memory**: what a request needs at once (keys, quotas, knobs, plan) is answered from memory; it
  follows the file, never the other way round, but for a revocation: that counts at once.
- **folding**: old usage rows become sums per day.

Times are seconds since the epoch outside, whole milliseconds in the file.
"""
