"""`python -m crosstune`."""

from crosstune.cli.app import main

if __name__ == "__main__":
    main()
