"""Writes shapes.txt from botocore's service models: `python generate.py > shapes.txt`."""

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


if __name__ == "__main__":
    main()
