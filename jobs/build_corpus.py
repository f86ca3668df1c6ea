"""Build a corpus snapshot on a cluster; takes the options of `pe-ray corpus build`.

ray job submit --working-dir . -- python jobs/build_corpus.py --config jobs/configs/quickstart.yaml
"""

import sys

from pe_ray.cli import main

if __name__ == "__main__":
    main(["corpus", "build", *sys.argv[1:]])
