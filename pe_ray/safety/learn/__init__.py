"""Small models that judge a text: one way to train them, one way to use them.

    load("emotion").judge(["I am so proud of you!"])

Using one needs numpy; training one (`train`) needs scikit-learn and the public data of its task.
"""

from pe_ray.safety.learn.model import Judgement, Model, ModelFileError, load, names, save

__all__ = ["Judgement", "Model", "ModelFileError", "load", "names", "save"]
