"""`python -m gatewayd` is the command line."""

from gatewayd.cli import main

raise SystemExit(main())
