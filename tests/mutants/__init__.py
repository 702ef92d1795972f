"""``make mutants``: does a test fail if a line of ``kspan/graph`` is wrong?

A mutant is the code with one small fault: ``<`` becomes ``<=``, a constant is one more, a guard is always true
(``operators.py`` has the list). It is *killed* if a test fails, and *survives* if all of them pass: then nothing holds
that line in place. The tool draws a random sample of all mutants, always the same one for a ``--seed``, and runs each
against the tests that execute its line, the quickest first, until one fails (or ``--budget`` CPU seconds are spent)::

    make mutants                                   # 200 mutants; takes about 10 minutes on two cores
    make mutants MUTANTS='--seed 7 --count 50'
    make mutants MUTANTS='--only kspan/graph/trace'
    make mutants MUTANTS='--line kspan/graph/fold.py:60'
    make mutants MUTANTS='--again .mutants/report.json'   # the survivors of an earlier run

The exit code is 1 if the share of killed mutants is below ``--target`` (85 %). ``.mutants/report.json`` has the result
of every mutant. Some mutants cannot be killed because they change nothing that can be observed. ``equivalent.toml``
lists these with a reason each; they are part of the sample and count as survivors.

Neither mutmut nor cosmic-ray fits: both start an interpreter for every mutant, or run the same tests for all. Here each
mutant runs in a fork of a process that has the libraries loaded but not kspan, so that it starts in about a second and
a mutated constant reaches every module that imports it.

Steps: ``covering.py`` (which tests execute a line), ``operators.py`` (all mutants), ``selection.py`` (the sample and
the tests of each), ``running.py`` (forks), ``report.py``.
"""
