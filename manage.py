#!/usr/bin/env python
import sys

if __name__ == "__main__":
    from breezebuddy.command_line import main

    main(sys.argv)
