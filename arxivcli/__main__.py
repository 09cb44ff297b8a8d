"""`python -m arxivcli` is the same program as `arxivcli`."""

from arxivcli.cli.app import main

if __name__ == "__main__":
    main()
