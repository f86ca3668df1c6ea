"""Measure the profiles and choose one on a cluster; takes the options of `pe-ray tune`.

ray job submit --working-dir . -- python jobs/tune_profiles.py --config jobs/configs/quickstart.yaml
"""

import sys

from pe_ray.cli import main

if __name__ == "__main__":
    main(["tune", *sys.argv[1:]])
