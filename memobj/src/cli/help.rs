//! The texts of `--help` that belong to no option.

pub(super) const USAGE: &str = "\
memobj [OPTIONS] -p <PID> | -n <NAME>
       memobj [OPTIONS] --core <FILE> | --snapshot <FILE>
       memobj [OPTIONS] -- <COMMAND> [ARG]...";

pub(super) const EXAMPLES: &str = "\
Examples:
  memobj -p 1234                          count every object once
  memobj -i 10 -p 1234 | memdiff          show changes from census to census
  memobj -i 1m -p 1234 -o objects         tables in objects, records in .jsonl
  memobj --tree -p 1234                   every Python process at or below 1234
  memobj --leaks -p 1234                  what leaks, how fast, and who holds it
  memobj --leaks -n bot.py                the same, by program or script
  memobj --leaks -n bot.py --format openmetrics -o leaks.prom
                                          the verdict, for Prometheus
  memobj --watch-adds bot.CACHE -p 1234   which lines add to it and remove
  memobj --why Session -p 1234            who holds the objects of a type
  memobj --caches -p 1234                 all caches, those with problems first
  memobj -- bot.py                        start it with its .venv, and count
  memobj --no-interrupt -p 1234           pause no thread in a system call
  memobj --max-pause 0 -p 1234            never pause it
  memobj --export a.heapsnapshot -p 1234  objects for Chrome DevTools, memlab
  memobj --export a.pb.gz -p 1234         who holds what, for pprof, Pyroscope
  memobj --save-snapshot bug.mem -p 1234  keep memory, for --snapshot bug.mem
";

pub(super) const NOTES: &str = "\
Scopes: --scope tracked counts the objects that the garbage collector lists, as gc.get_objects() does. reachable adds all \
objects that these lead to: strings, numbers, dicts and tuples without a tracked object in them, locals of running functions. \
heap adds other objects in the allocator; this is an estimate, except on free-threaded builds.

Sizes are those of sys.getsizeof. Storage that an object owns beyond that is overhead, in its own column. A size with ≥ is a \
lower bound: a part of the type's memory is unknown from outside.

Caches: functools.lru_cache, cachetools, Django's and aiocache's local memory, weak dictionaries; any dict that is named a \
cache (or memo, LRU) or belongs to such an object; and dicts whose entries contain times. SIZE is everything that a cache \
leads to except modules, types and functions, each object once; SHARED is the part that others hold, too. Small caches get no \
warnings: a missing limit counts from 1,000 entries or 1 MiB on, a low hit ratio from 100 lookups on.

Costs: memobj first copies the memory while the program sleeps, as a service does between requests: no pause, no effect on it. \
The copy counts if the kernel's counters prove that no thread ran meanwhile. If none begins within some 50 ms and the time of a copy, or a thread wakes up, \
memobj pauses the threads that run, and leaves the others alone if they sleep until the copy is made, for about 0.2 to 0.4 ms per MB. A thread that runs the \
program's code waits in no system call, so no call is interrupted. If that does not succeed either, memobj pauses all threads. \
Where the kernel tracks writes (CONFIG_MEM_SOFT_DIRTY: Debian, Ubuntu, Fedora), most memory is copied before, while the program runs, and pauses are some ten times shorter. \
All pauses together take 250 ms at most: then the program runs on, whatever memobj waits for, and is read while it runs. \
If memobj itself is stopped meanwhile, a watchdog, a second process, ends it after some 50 ms.

Interrupted calls: a pause of all threads ends some system calls in which threads wait: epoll_wait, recv with a timeout, accept, semop and others end with EINTR, \
and a blocking write to a pipe or socket that has written a part returns that part. Python repeats the former; code that does not look at what write() returns \
loses data. (signal.sigtimedwait alone returns a signal that never came, if its timeout ends during the pause.) --no-interrupt forbids that pause: if a copy needs it, the program is read while it \
runs. Then a call can be interrupted only if a thread is in the middle of it, but runs or waits for a processor (mostly for microseconds, on a busy machine for milliseconds), or begins it between the look at the thread and its pause. The record counts the calls \
in interrupted_calls. --max-pause 0 forbids each pause, also that of threads that run: a program that does not sleep is read while it runs, and memory that \
changes during the read is counted as torn. A program is read so by one copy, made in a fraction of a second, if there is memory for it. --no-stop always \
reads while the program runs, and needs no memory for a copy, but takes some times longer. memobj never writes to the program's memory and runs no code in it.

Coverage: the share of used bytes in Python's own allocator that belongs to counted objects; and the share of counted objects \
in the resident memory. The rest is in C libraries, in free memory that Python keeps, and in code.

Permission: the program must belong to the same user, and the kernel must allow tracing: as root, or with \
kernel.yama.ptrace_scope=0; in a container with --cap-add SYS_PTRACE.

Launching: the output of the command goes to memobj's stderr (with -o FILE the command keeps stdin, stdout and stderr). \
The first census is taken when the interpreter is running. memobj ends when the command ends, with its status, or 128 + N if \
signal N killed it. After --count or --duration, memobj stops counting and waits for the command.

Files: -o FILE appends text to FILE and records to FILE.jsonl. A FILE that ends with .jsonl or .jsonl.gz has only records. \
With --format there is only that, in FILE. %Y, %m, %d and other conversions \
of strftime(3) in its name begin a new file when the name changes; %% is a percent sign. A file that ends with .gz is compressed in blocks of up \
to a minute. With --format openmetrics the file is replaced after every round of censuses.

Records list every type with at least 0.01 % of all objects or bytes, and every type that was listed before; types_omitted has \
the rest. Text lists the largest; every third census shows growth and shrinkage since the last time.

Leaks: --leaks takes 7 censuses within a minute and compares who holds the objects. Something leaks if there is more of it \
each time, if it grows until the end, and if it is not freed again. --for 10m finds slower leaks; at least 3 censuses are \
needed. Python processes below PID are searched too, as far as their censuses take at most half of the time; --tree searches all of them. \
Ctrl-C ends the search with a verdict on the censuses so far. Between the censuses and for up to 5s after the last one (not after Ctrl-C) memobj \
watches which lines of code add to the leaks; --watch-adds does that alone, for one container. This needs perf events: kernel.perf_event_paranoid of 2 or less, or root.

Exit status: 0 if the target exited, the user stopped memobj, or the count is complete; 2 on failure; with a command its status, \
126 if it cannot be executed, 127 if it is not found. With --leaks 1 if something leaks, 0 if nothing does, 2 without a verdict or \
if nothing leaks in the searched processes and others below them were not searched.
";
