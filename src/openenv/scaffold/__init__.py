"""Makes the package of a new environment from a template."""

from openenv.scaffold.name import MAX_NAME_LENGTH, PackageName
from openenv.scaffold.package import CreatedPackage, create_package
from openenv.scaffold.template import Template, render

__all__ = ["MAX_NAME_LENGTH", "CreatedPackage", "PackageName", "Template", "create_package", "render"]
