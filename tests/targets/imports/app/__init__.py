settings = {}
from . import models
