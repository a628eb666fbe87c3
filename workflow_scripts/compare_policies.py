"""Gain of a policy over its initial policy, with a paired bootstrap interval."""

import argparse

from dpo_stages.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", required=True, metavar="FILE", help="win_rate.json of the policy")
    parser.add_argument("--initial", required=True, metavar="FILE", help="win_rate.json of its initial policy")
    parser.add_argument("--output", required=True, metavar="FILE", help="gain.json")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()

    from dpo_stages.files import write_json
    from dpo_stages.gains import gain

    found = gain(arguments.policy, arguments.initial)
    write_json(arguments.output, found)
    low, high = found["lc_gain_interval"]
    finish(arguments.output, 2, 1, {}, lc_gain=found["lc_gain"], lc_gain_interval=f"{low:.2f} to {high:.2f}")


if __name__ == "__main__":
    run(main)
