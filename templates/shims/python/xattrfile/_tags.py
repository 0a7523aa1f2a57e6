"""Tags: a dictionary of bytes that takes text, too, and knows whether it was changed."""


def to_bytes(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        # The names of files may be no UTF-8.
        return value.encode("utf-8", "surrogateescape")
    raise TypeError(f"found a {type(value).__name__}; str and bytes are allowed in tags")


class Tags(dict):
    dirty = False

    def __getitem__(self, key):
        return super().__getitem__(to_bytes(key))

    def __contains__(self, key):
        return super().__contains__(to_bytes(key))

    def get(self, key, default=None):
        return super().get(to_bytes(key), default)

    def __setitem__(self, key, value):
        super().__setitem__(to_bytes(key), to_bytes(value))
        self.dirty = True

    def __delitem__(self, key):
        super().__delitem__(to_bytes(key))
        self.dirty = True

    def update(self, *arguments, **named):
        for key, value in dict(*arguments, **named).items():
            self[key] = value

    def __ior__(self, other):
        self.update(other)
        return self

    def setdefault(self, key, default=b""):
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key, *default):
        found = super().pop(to_bytes(key), *default)
        self.dirty = True
        return found

    def popitem(self):
        self.dirty = True
        return super().popitem()

    def clear(self):
        self.dirty = True
        super().clear()

    def copy(self):
        return Tags(self)
