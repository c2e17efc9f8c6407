"""Puts another way to reach keys in the place of python-fido2's own.

fido2.hid chose the platform's functions when it was imported, and the suite's conftest takes them from there: so both
have to be replaced, and before conftest is imported, which a plugin that pytest is given by -p can do.
"""

import fido2.hid


def install(list_descriptors, open_connection):
    def get_descriptor(path):
        return next(d for d in list_descriptors() if d.path == path)

    for module in (fido2.hid, fido2.hid.backend):
        module.list_descriptors = list_descriptors
        module.get_descriptor = get_descriptor
        module.open_connection = open_connection
