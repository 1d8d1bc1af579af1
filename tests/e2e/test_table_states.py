"""Whose a table is, and where pages begin."""

import boto3
import pytest
from botocore.config import Config

from support import REGIONS
from test_table_api import KEYS, refused, shown

HOME = REGIONS[0]
ONE = {"AttributeDefinitions": KEYS["AttributeDefinitions"][:1], "KeySchema": KEYS["KeySchema"][:1]}


def made(pangea, service):
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return boto3.client(service, region_name=HOME, endpoint_url=pangea.endpoint(HOME),
                        config=config)


@pytest.fixture(scope="module")
def client(pangea):
    return made(pangea, "dynamodb")


@pytest.fixture
def table(client, table_name):
    client.create_table(TableName=table_name, **ONE, BillingMode="PAY_PER_REQUEST")
    return table_name


def test_what_belongs_to_another_account_is_not_for_everybody(client, table):
    arn = shown(client, table)["TableArn"]
    foreign = arn.replace("000000000000", "123456789012")

    def denied(operation, **arguments):
        call = getattr(client, operation)
        code, message = refused(call, **arguments)
        assert code == "AccessDeniedException"
        name = client.meta.method_to_api_mapping[operation]
        assert message.endswith(f" is not authorized to perform: dynamodb:{name} on resource: "
                                f"{foreign} because no resource-based policy allows the "
                                f"dynamodb:{name} action")

    denied("tag_resource", ResourceArn=foreign, Tags=[{"Key": "a", "Value": ""}])
    denied("untag_resource", ResourceArn=foreign, TagKeys=["a"])
    for operation in "list_tags_of_resource", "get_resource_policy", "delete_resource_policy":
        denied(operation, ResourceArn=foreign)
    for operation in ("describe_table", "delete_table", "describe_time_to_live",
                      "describe_continuous_backups", "describe_contributor_insights"):
        denied(operation, TableName=foreign)
    denied("update_table", TableName=foreign, DeletionProtectionEnabled=True)
    denied("create_backup", TableName=foreign, BackupName="kept")
    denied("export_table_to_point_in_time", TableArn=foreign, S3Bucket="nowhere")
    denied("restore_table_to_point_in_time", SourceTableArn=foreign, TargetTableName="restored",
           UseLatestRestorableTime=True)
    assert shown(client, table)["DeletionProtectionEnabled"] is False
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == []


def test_pages_begin_where_a_page_ended(client, pangea):
    code, message = refused(client.list_contributor_insights, NextToken="nothing")
    assert code == "ValidationException" and message.endswith("nextToken is invalid: nothing")
    streams = made(pangea, "dynamodbstreams")
    arn = f"arn:aws:dynamodb:{HOME}:000000000000:table/music"
    code, message = refused(streams.list_streams, TableName=arn)
    assert code == "ValidationException" and "regular expression pattern" in message
