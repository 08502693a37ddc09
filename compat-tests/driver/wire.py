"""Kafka's wire protocol over a plain socket, driven by the message schemas inside the kafka-clients jar.

Every API and version can be encoded and decoded from Kafka's own JSON, so a probe is a dict and an answer is a dict.
"""
import glob
import json
import os
import re
import socket
import struct
import uuid
import zipfile

_SCHEMAS = None


def load_schemas(libs):
    """name -> schema for every request and response; api key -> (request, response)."""
    global _SCHEMAS
    if _SCHEMAS is None:
        jar = glob.glob(os.path.join(libs, "kafka-clients-3*.jar"))[0]
        by_key = {}
        with zipfile.ZipFile(jar) as archive:
            for entry in archive.namelist():
                if entry.startswith("common/message/") and entry.endswith((("Request.json"), "Response.json")):
                    text = archive.read(entry).decode()
                    schema = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
                    schema["structs"] = {s["name"]: s for s in schema.get("commonStructs", [])}
                    _collect_structs(schema["fields"], schema["structs"])
                    by_key.setdefault(schema["apiKey"], {})[schema["type"]] = schema
        _SCHEMAS = by_key
    return _SCHEMAS


def _collect_structs(fields, into):
    for field in fields:
        if "fields" in field:
            into[field["type"].removeprefix("[]")] = field
            _collect_structs(field["fields"], into)


def in_range(spec, version):
    if not spec or spec == "none":
        return False
    if spec.endswith("+"):
        return version >= int(spec[:-1])
    low, _, high = spec.partition("-")
    return int(low) <= version <= int(high or low)


def versions(spec):
    low, _, high = spec.partition("-")
    return int(low), int(high or low)


def uvarint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def varint(n):
    return uvarint((n << 1) ^ (n >> 63))


FIXED = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}


class Writer:
    def __init__(self, schema, version):
        self.schema, self.version, self.out = schema, version, bytearray()
        self.flexible = in_range(schema.get("flexibleVersions", "none"), version)

    def message(self, body):
        self.struct(self.schema["fields"], body)
        return bytes(self.out)

    def struct(self, fields, body):
        tagged = []
        body = body or {}
        for field in fields:
            if not in_range(field["versions"], self.version):
                continue
            if in_range(field.get("taggedVersions"), self.version):
                if field["name"] in body:
                    tagged.append(field)
                continue
            self.value(field, field["type"], body.get(field["name"], _default(field)))
        if self.flexible:
            self.out += uvarint(len(tagged))
            for field in tagged:
                outer, self.out = self.out, bytearray()
                self.value(field, field["type"], body[field["name"]])
                inner, self.out = self.out, outer
                self.out += uvarint(field["tag"]) + uvarint(len(inner)) + inner

    def length(self, n, short):
        if self.flexible:
            self.out += uvarint(n + 1)
        else:
            self.out += struct.pack(">h" if short else ">i", n)

    def value(self, field, kind, value):
        if kind.startswith("[]"):
            if value is None:
                self.length(-1, False)
                return
            self.length(len(value), False)
            for item in value:
                self.value(field, kind[2:], item)
        elif kind == "bool":
            self.out += b"\x01" if value else b"\x00"
        elif kind in FIXED:
            self.out += struct.pack(FIXED[kind], value)
        elif kind == "uuid":
            self.out += value if isinstance(value, bytes) else uuid.UUID(value).bytes
        elif kind == "string":
            old, self.flexible = self.flexible, self.flexible and field.get("flexibleVersions") != "none"
            raw = None if value is None else (value if isinstance(value, bytes) else value.encode())
            self.length(-1 if raw is None else len(raw), True)
            self.out += raw or b""
            self.flexible = old
        elif kind in ("bytes", "records"):
            self.length(-1 if value is None else len(value), False)
            self.out += value or b""
        else:
            self.struct(self.schema["structs"][kind]["fields"], value)


def _default(field):
    kind, default = field["type"], field.get("default")
    if kind.startswith("[]"):
        return None if default == "null" else []
    if default == "null":
        return None
    if kind == "bool":
        return default in (True, "true")
    if kind in FIXED:
        if default is None:
            return 0
        return float(default) if kind == "float64" else int(str(default), 0)
    if kind == "uuid":
        return bytes(16)
    if kind == "string":
        return default or ""
    if kind in ("bytes", "records"):
        return b""
    return {}


class Reader:
    def __init__(self, schema, version, data):
        self.schema, self.version, self.data, self.at = schema, version, data, 0
        self.flexible = in_range(schema.get("flexibleVersions", "none"), version)

    def message(self):
        body = self.struct(self.schema["fields"])
        if self.at != len(self.data):
            body["<trailing>"] = self.data[self.at:].hex()
        return body

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise ValueError(f"response ends early: want {n} at {self.at} of {len(self.data)}")
        self.at += n
        return self.data[self.at - n:self.at]

    def uvarint(self):
        result = shift = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def length(self, short):
        if self.flexible:
            return self.uvarint() - 1
        return struct.unpack(">h" if short else ">i", self.take(2 if short else 4))[0]

    def struct(self, fields):
        body, tags = {}, {}
        for field in fields:
            if not in_range(field["versions"], self.version):
                continue
            if in_range(field.get("taggedVersions"), self.version):
                tags[field["tag"]] = field
                continue
            body[field["name"]] = self.value(field, field["type"])
        if self.flexible:
            for _ in range(self.uvarint()):
                tag, size = self.uvarint(), self.uvarint()
                end = self.at + size
                if tag in tags:
                    body[tags[tag]["name"]] = self.value(tags[tag], tags[tag]["type"])
                else:
                    body[f"<tag {tag}>"] = self.take(size).hex()
                self.at = end
        return body

    def value(self, field, kind):
        if kind.startswith("[]"):
            n = self.length(False)
            return None if n < 0 else [self.value(field, kind[2:]) for _ in range(n)]
        if kind == "bool":
            return self.take(1) != b"\x00"
        if kind in FIXED:
            return struct.unpack(FIXED[kind], self.take(struct.calcsize(FIXED[kind])))[0]
        if kind == "uuid":
            return str(uuid.UUID(bytes=bytes(self.take(16))))
        if kind == "string":
            n = self.length(True)
            return None if n < 0 else bytes(self.take(n)).decode(errors="replace")
        if kind in ("bytes", "records"):
            n = self.length(False)
            return None if n < 0 else bytes(self.take(n)).hex()
        return self.struct(self.schema["structs"][kind]["fields"])


def header(key, version, correlation, client_id, schemas):
    flexible = in_range(schemas[key]["request"].get("flexibleVersions", "none"), version) if key in schemas else False
    raw = client_id.encode()
    head = struct.pack(">hhih", key, version, correlation, len(raw)) + raw
    return head + (b"\x00" if flexible else b"")


class Connection:
    """One socket; `call` sends a dict and returns a dict, `raw` sends bytes and returns bytes."""

    def __init__(self, host, port, schemas, timeout=15, client_id="probe"):
        self.schemas, self.correlation, self.client_id = schemas, 0, client_id
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def request(self, key, version, body):
        self.correlation += 1
        schema = self.schemas[key]["request"]
        payload = body if isinstance(body, bytes) else Writer(schema, version).message(body)
        frame = header(key, version, self.correlation, self.client_id, self.schemas) + payload
        return struct.pack(">i", len(frame)) + frame

    def send(self, key, version, body):
        self.socket.sendall(self.request(key, version, body))

    def call(self, key, version, body):
        self.send(key, version, body)
        return self.decode(key, version, self.read_frame())

    def read_frame(self):
        size = struct.unpack(">i", self.read(4))[0]
        return self.read(size)

    def read(self, n):
        out = bytearray()
        while len(out) < n:
            piece = self.socket.recv(min(n - len(out), 1 << 20))
            if not piece:
                raise ConnectionError("closed by the broker")
            out += piece
        return bytes(out)

    def decode(self, key, version, frame):
        schema = self.schemas[key]["response"]
        at = 4
        if in_range(schema.get("flexibleVersions", "none"), version) and key != 18:
            at = 5  # response header v1: an empty tag section
        if key == 18 and frame[4:6] == b"\x00\x23":  # UNSUPPORTED_VERSION is always answered as v0
            version = 0
        body = Reader(schema, version, frame[at:]).message()
        if frame[:4] != struct.pack(">i", self.correlation):
            body["<correlation>"] = frame[:4].hex()
        return body


# --- records ---------------------------------------------------------------------------------------------------------

def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ 0x82F63B78 if n & 1 else n >> 1
        table.append(n)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def record(delta, key, value, headers=(), timestamp_delta=0):
    def blob(raw):
        return varint(-1) if raw is None else varint(len(raw)) + raw
    body = b"\x00" + varint(timestamp_delta) + varint(delta) + blob(key) + blob(value) + varint(len(headers))
    for name, content in headers:
        body += varint(len(name)) + name + blob(content)
    return varint(len(body)) + body


def batch(records, base_offset=0, producer_id=-1, epoch=-1, sequence=-1, timestamp=1_700_000_000_000, attributes=0,
          payload=None, leader_epoch=-1, count=None, last_delta=None, crc=None, magic=2, length=None):
    """A record batch v2; `records` is a list of (key, value) and every field may be made to lie."""
    body = payload if payload is not None else b"".join(record(i, k, v) for i, (k, v) in enumerate(records))
    n = len(records) if count is None else count
    tail = struct.pack(">hiqqqhii", attributes, n - 1 if last_delta is None else last_delta, timestamp, timestamp,
                       producer_id, epoch, sequence, n) + body
    checksum = crc32c(tail) if crc is None else crc
    head = struct.pack(">ibI", leader_epoch, magic, checksum)
    size = len(head) + len(tail) if length is None else length
    return struct.pack(">qi", base_offset, size) + head + tail


def legacy_message(magic, key, value, timestamp=1_700_000_000_000, attributes=0, offset=0, crc=None):
    """A message of magic 0 or 1 inside a message set."""
    import zlib

    def blob(raw):
        return struct.pack(">i", -1) if raw is None else struct.pack(">i", len(raw)) + raw
    body = struct.pack(">bb", magic, attributes) + (struct.pack(">q", timestamp) if magic else b"") + blob(key) + blob(value)
    checksum = zlib.crc32(body) if crc is None else crc
    return struct.pack(">qiI", offset, len(body) + 4, checksum) + body


def java_hash(text):
    """What Kafka finds a group's or transactional id's partition with."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF  # as Kafka makes a hash positive
