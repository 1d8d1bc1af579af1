"""Writes shapes.txt and rules.txt from botocore's service models:

`python generate.py > shapes.txt; python generate.py rules > rules.txt`.
"""

import sys

import botocore.session

SCALARS = {"string": "string", "boolean": "boolean", "integer": "integer", "long": "long",
           "double": "double", "float": "double", "timestamp": "timestamp", "blob": "blob"}


def main():
    print("# The shapes of requests and responses; made by generate.py from the models of botocore",
          botocore.__version__)
    seen = {}
    session = botocore.session.get_session()
    for service in ("dynamodb", "dynamodbstreams"):
        model = session.get_service_model(service)
        names = {}
        for operation in sorted(model.operation_names):
            shapes = model.operation_model(operation)
            names[operation] = (shapes.input_shape, shapes.output_shape)
        for operation, (asked, told) in names.items():
            said = [shape.name if shape else "-" for shape in (asked, told)]
            print("operation", operation, *said)
            for shape in (asked, told):
                visit(shape, seen)
    for name in sorted(seen):
        print(seen[name])


def visit(shape, seen):
    """The word for a shape; what it is made of goes to `seen`."""
    if shape is None:
        return "-"
    if shape.type_name in SCALARS:
        return SCALARS[shape.type_name]
    if shape.name in seen:
        return shape.name
    seen[shape.name] = ""
    if shape.type_name == "structure":
        members = [f"{name}:{visit(of, seen)}" for name, of in shape.members.items()]
        seen[shape.name] = " ".join(["structure", shape.name, *members])
    elif shape.type_name == "list":
        seen[shape.name] = f"list {shape.name} {visit(shape.member, seen)}"
    else:
        seen[shape.name] = f"map {shape.name} {visit(shape.value, seen)}"
    return shape.name


# Operations on items and statements, whose rules the decoders know, and those on tags, which have
# words of their own.
BY_HAND = {"BatchExecuteStatement", "BatchGetItem", "BatchWriteItem", "DeleteItem",
           "ExecuteStatement", "ExecuteTransaction", "GetItem", "ListTagsOfResource", "PutItem",
           "Query", "Scan", "TagResource", "TransactGetItems", "TransactWriteItems",
           "UntagResource", "UpdateItem"}
# Members that the service judges in words of its own.
OWN_WORDS = {"TableName", "ResourceArn", "Tags", "TableClass", "TableClassOverride"}
# One whose length it judges in words of its own.
OWN_LENGTHS = {("ExportTableToPointInTimeInput", "TableArn")}
# One of which it tells the pattern before the length.
PATTERN_FIRST = {("CsvOptions", "Delimiter")}


def rules():
    print("# The constraints of requests; made by generate.py from the model of botocore",
          botocore.__version__)
    model = botocore.session.get_session().get_service_model("dynamodb")
    said = {}
    for operation in sorted(set(model.operation_names) - BY_HAND):
        asked = model.operation_model(operation).input_shape
        if asked is not None:
            constrain(asked, said)
    for lines in said.values():
        print("".join(line + "\n" for line in lines), end="")


def constrain(shape, said):
    """Notes the rules of a shape that is made of others: of its parts, and of their number."""
    if shape.name in said or shape.name == "AttributeValue":
        return
    lines = said[shape.name] = []
    if shape.type_name == "structure":
        for name, of in shape.members.items():
            if name in OWN_WORDS and (name != "TableName" or shape.name.endswith("Input")):
                continue
            if name in shape.required_members:
                lines.append(f"{shape.name} {name} required")
            part(shape.name, name, of, lines, said)
    elif shape.type_name in ("list", "map"):
        count = shape.metadata
        if count.get("min") or "max" in count:
            lines.append(f"{shape.name} # length {count.get('min', 0)} {count.get('max', '-')}")
        of = shape.member if shape.type_name == "list" else shape.value
        part(shape.name, "*", of, lines, said)


def part(owner, name, of, lines, said):
    limits = of.metadata
    if of.type_name in ("structure", "list", "map"):
        constrain(of, said)
        return
    if limits.get("enum"):
        lines.append(" ".join([owner, name, "enum", *limits["enum"]]))
    pattern = [f"{owner} {name} pattern {limits['pattern']}"] if "pattern" in limits else []
    if (owner, name) in PATTERN_FIRST:
        lines += pattern
    is_long = limits.get("min") or "max" in limits
    if of.type_name == "string" and is_long and (owner, name) not in OWN_LENGTHS:
        lines.append(f"{owner} {name} length {limits.get('min', 0)} {limits.get('max', '-')}")
    if of.type_name in ("integer", "long") and ("min" in limits or "max" in limits):
        lines.append(f"{owner} {name} value {limits.get('min', '-')} {limits.get('max', '-')}")
    if (owner, name) not in PATTERN_FIRST:
        lines += pattern


if __name__ == "__main__":
    rules() if sys.argv[1:] == ["rules"] else main()
