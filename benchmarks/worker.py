"""What both sides of a comparison share: a process that does a piece of work when asked, and says how long it took."""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(work, repeats):
    """The median time of `repeats` calls of `work`, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def warmed(work):
    """`work`, done twice: what is traced, compiled or looked up is so before it is timed."""
    for _ in range(2):
        work()
    return work


def serve(works):
    """Answers requests on standard input, a JSON object a line, until it ends.

    A request names one of `works` (dict of functions) as "work" and gives its arguments; the answer is what that
    function returns, or {"error": text}. What a work prints goes to standard error.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = works[request.pop("work")](**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        print(json.dumps(answer), file=answers, flush=True)


class WorkError(SystemExit):
    """A piece of work could not be done; the process is there for the next one. Says why if nobody catches it."""


class Worker:
    """The other end of `serve`: a process that is asked. Its standard error goes to `log`."""

    def __init__(self, *command, log):
        self._name, self._log = Path(command[1]).name, log.name
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )
        except OSError as error:
            raise SystemExit(f"{command[0]} cannot be started: {error.strerror}.") from None

    def ask(self, **request):
        """The answer to a request of `serve`. Raises `WorkError`, or SystemExit if the process has ended."""
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self._name} has ended; {self._log} says why.")
        answer = json.loads(answer)
        if "error" in answer:
            raise WorkError(f"{self._name} cannot {request['work']}: {answer['error']}")
        return answer

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
