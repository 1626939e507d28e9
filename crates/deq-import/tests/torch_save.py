"""Writes the checkpoints that the tests read, without PyTorch: the archive and the pickle are what
torch.save of PyTorch 2 writes (entries stored at multiples of 64 bytes, zip64 records, protocol 2).

    python3 crates/deq-import/tests/torch_save.py

runs in the repository's root. Numbers are counted up or come from the models' parity fixtures.
"""

import io
import json
import pickle
import struct
import sys
import types
import zipfile
import zlib
from argparse import Namespace
from collections import OrderedDict


def module(name, **members):
    result = types.ModuleType(name)
    sys.modules[name] = result
    for key, value in members.items():
        value.__module__, value.__qualname__ = name, key
        setattr(result, key, value)
    return result


def function():
    return lambda *arguments: None


KINDS = {
    "Float": "f", "Double": "d", "Half": "e", "Long": "q", "Int": "i", "Short": "h", "Char": "b",
    "Byte": "B", "Bool": "?", "BFloat16": "H", "ComplexFloat": "d",
}
torch = module("torch", **{f"{kind}Storage": type(f"{kind}Storage", (), {}) for kind in KINDS})
utils = module("torch._utils", **{
    name: function() for name in ("_rebuild_tensor_v2", "_rebuild_parameter")
})
torch._utils = utils


class Storage:
    def __init__(self, kind, values, order="<"):
        self.kind, self.count = kind, len(values)
        self.bytes = struct.pack(f"{order}{len(values)}{KINDS[kind]}", *values)


class Tensor:
    def __init__(self, storage, shape, strides=None, offset=0):
        if strides is None:
            strides, step = [], 1
            for length in reversed(shape):
                strides.insert(0, step)
                step *= max(length, 1)
        self.storage, self.view = storage, (offset, tuple(shape), tuple(strides))

    def __reduce_ex__(self, protocol):
        return utils._rebuild_tensor_v2, (self.storage, *self.view, False, OrderedDict())


class Parameter(Tensor):
    def __reduce_ex__(self, protocol):
        tensor = Tensor.__new__(Tensor)
        tensor.storage, tensor.view = self.storage, self.view
        return utils._rebuild_parameter, (tensor, True, OrderedDict())


def tensor(kind, shape, values=None, **options):
    count = 1
    for length in shape:
        count *= length
    return Tensor(Storage(kind, range(count) if values is None else values, **options), shape)


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.storages = []

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        if value not in self.storages:
            self.storages.append(value)
        kind = getattr(torch, f"{value.kind}Storage")
        return "storage", kind, str(self.storages.index(value)), "cpu", value.count


def archive(entries, compress=()):
    """Local entries, directory, zip64 records and end, as PyTorch's writer lays them out."""
    out, directory = io.BytesIO(), io.BytesIO()
    for name, data in entries:
        start, raw = out.tell(), name.encode()
        crc, size, method = zlib.crc32(data), len(data), 8 * (name in compress)
        if method:
            data = zlib.compress(data)[2:-4]
        padding = -(start + 30 + len(raw) + 4) % 64
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        out.write(struct.pack("<4s5H3I2H", b"PK\3\4", 0, 0x808, method, 0, 0, 0, 0, 0,
                              len(raw), len(extra)) + raw + extra + data)
        out.write(struct.pack("<4s3I", b"PK\7\10", crc, len(data), size))
        directory.write(struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 0, 0x808, method, 0, 0, crc,
                                    len(data), size, len(raw), 0, 0, 0, 0, 0, start) + raw)
    start, length, count = out.tell(), directory.tell(), len(entries)
    out.write(directory.getvalue())
    record = out.tell()
    out.write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 798, 45, 0, 0, count, count, length, start))
    out.write(struct.pack("<4sIQI", b"PK\6\7", 0, record, 1))
    out.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, length, start, 0))
    return out.getvalue()


def save(value, path, protocol=2, byteorder=b"little", extra=(), compress=()):
    file = io.BytesIO()
    pickler = Pickler(file, protocol)
    pickler.dump(value)
    root = path.rsplit("/", 1)[-1].split(".")[0]
    entries = [("data.pkl", file.getvalue()), ("byteorder", byteorder), *extra]
    entries += [(f"data/{i}", storage.bytes) for i, storage in enumerate(pickler.storages)]
    entries += [("version", b"3\n"), (".data/serialization_id", b"0" * 40)]
    named = [(f"{root}/{name}", data) for name, data in entries]
    with open(path, "wb") as out:
        out.write(archive(named, [f"{root}/{name}" for name in compress]))
    with zipfile.ZipFile(path) as check:
        assert check.testzip() is None


def state_dict(items, prefix=""):
    result = OrderedDict((prefix + name, value) for name, value in items)
    # The versions of the modules, an attribute of the dict.
    result._metadata = OrderedDict([("", {"version": 1})])
    return result


def linear(prefix=""):
    weight, bias = tensor("Float", [2, 3]), tensor("Float", [2], [0.5, -0.5])
    return state_dict([("weight", weight), ("bias", bias)], prefix)


def small(folder):
    save(linear(), f"{folder}/linear.pth")
    save(linear(), f"{folder}/compressed.pth", compress=["data.pkl"])

    numbers = [3, 0, 1]
    save(state_dict([
        ("double", tensor("Double", [3], [0.1, -2.5, 1e300])),
        ("half", tensor("Half", [3], [0.5, -2.5, 1024])),
        ("bfloat", tensor("BFloat16", [3], [0x3F80, 0xC020, 0x4049])),  # 1, -2.5, 3.140625
        ("long", tensor("Long", [3], [-3, 1 << 40, 7])),
        ("int", tensor("Int", [3], [-3, 1 << 30, 7])),
        ("short", tensor("Short", [3], [-3, 1 << 14, 7])),
        ("char", tensor("Char", [3], [-3, 100, 7])),
        ("byte", tensor("Byte", [3], [3, 200, 7])),
        ("bool", tensor("Bool", [3], [True, False, True])),
        ("scalar", tensor("Long", [], [7])),
        ("empty", tensor("Float", [0, 5])),
    ]), f"{folder}/types.pth")
    save(state_dict([
        ("float", tensor("Float", [3], numbers, order=">")),
        ("long", tensor("Long", [3], numbers, order=">")),
        ("byte", tensor("Byte", [3], numbers)),
    ]), f"{folder}/big_endian.pth", byteorder=b"big")

    shared, short = Storage("Float", range(12)), Storage("Float", range(3))
    save(state_dict([
        ("whole", Tensor(shared, [3, 4])),
        ("transposed", Tensor(shared, [4, 3], [1, 4])),
        ("row", Tensor(shared, [4], [1], offset=4)),
        ("column", Tensor(shared, [3, 1], [4, 1], offset=2)),
        ("block", Tensor(shared, [2, 2, 1], [8, 2, 99], offset=1)),
        ("repeated", Tensor(short, [2, 3], [0, 1])),
    ]), f"{folder}/views.pth")
    save(state_dict([("weight", Tensor(shared, [3, 4], [4, 1], offset=1))]),
         f"{folder}/outside.pth")
    save(state_dict([("weight", tensor("ComplexFloat", [2]))]), f"{folder}/complex.pth")

    optimizer = {
        "state": {0: {"step": 3, "momentum_buffer": tensor("Float", [2, 3])}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1]}],
    }
    save({
        "epoch": 3, "model": "linear", "state_dict": linear("module."),
        "perf": tensor("Float", [], [93.5]), "optimizer": optimizer,
        "hyper_parameters": Namespace(layers={1, 2}, seed=1 << 80, note=b"bytes"),
    }, f"{folder}/training.pth.tar")
    save({"model": {"encoder": {
        "weight": Parameter(Storage("Float", range(6)), [2, 3]), "steps": 12, "note": "text",
    }}}, f"{folder}/nested.pt", protocol=4)

    save({"state_dict": linear(), "model": linear()}, f"{folder}/several.pth")
    save({"generator": linear(), "discriminator": linear()}, f"{folder}/parts.pth")
    net = module("net", Net=type("Net", (), {})).Net()
    net.weight = tensor("Float", [2])
    save(net, f"{folder}/module.pth")
    save(linear(), f"{folder}/script.pt", extra=[("constants.pkl", pickle.dumps(())),])

    class Command:
        def __reduce__(self):
            import os
            return os.mkdir, ("deq-import-ran-a-command",)

    save(state_dict([("weight", tensor("Float", [2])), ("extra", Command())]),
         f"{folder}/command.pth")
    with open(f"{folder}/legacy.pth", "wb") as out:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            out.write(pickle.dumps(value, 2))


def weights(fixture):
    """Parameters and buffers of a parity fixture."""
    with open(fixture, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    for name, entry in header.items():
        kind, _, name = name.partition(".")
        if kind in ("param", "buffer"):
            assert entry["dtype"] == "F32"
            start, end = entry["data_offsets"]
            values = struct.unpack(f"<{(end - start) // 4}f", data[start:end])
            yield name, tensor("Float", entry["shape"], values)


def models():
    # As deq-zoo/mdeq's ImageNet program saves it, from DataParallel.
    items = list(weights("zoo/mdeq/tests/fixtures/two_branch_train.safetensors"))
    counts = [(name[: -len("running_mean")] + "num_batches_tracked", tensor("Long", [], [100]))
              for name, _ in items if name.endswith("running_mean")]
    save({
        "epoch": 2, "state_dict": state_dict(items + counts, "module."),
        "best_acc1": tensor("Float", [], [12.5]),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.05, "params": [0]}]},
    }, "zoo/mdeq/tests/checkpoints/two_branch.pth")

    # As deq-zoo/ignn's PPI program saves it.
    items = weights("zoo/ignn/tests/fixtures/ppi_spectral_eval.safetensors")
    save(state_dict(items), "zoo/ignn/tests/checkpoints/ppi.pth")

    # As deq-zoo/deq-lm saves it: tied tables under both their names, and the frequencies of the
    # position encodings.
    items = dict(weights("zoo/deq-lm/tests/fixtures/deq_lm/div2_eval.safetensors"))
    for cluster in range(3):
        table = items[f"word_emb.emb_layers.{cluster}.weight"]
        items[f"crit.out_layers.{cluster}.weight"] = table
    width = 16
    frequencies = [10000.0 ** (-i / width) for i in range(0, width, 2)]
    items["pos_emb.inv_freq"] = tensor("Float", [width // 2], frequencies)
    save(state_dict(items.items()), "zoo/deq-lm/tests/checkpoints/div2.pt")


if __name__ == "__main__":
    small("crates/deq-import/tests/checkpoints")
    models()
