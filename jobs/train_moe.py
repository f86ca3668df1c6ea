"""Train the experts on a cluster; takes the options of `pe-ray train`.

ray job submit --working-dir . -- python jobs/train_moe.py --config jobs/configs/quickstart.yaml
"""

import sys

from pe_ray.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
