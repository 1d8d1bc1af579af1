// The AWS SDK for Go, with its expression builder, marshaller, paginators and waiters.
//
//	go-client ENDPOINT REGION TABLE
//
// A line `passed NAME` or `failed NAME why` for each step, and `used SERVICE OPERATION` for each
// operation when it is first sent.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go/middleware"
)

type inner struct {
	Name    string
	Numbers []float64 `dynamodbav:",numberset"`
}

type thing struct {
	PK    string           `dynamodbav:"pk"`
	SK    int              `dynamodbav:"sk"`
	Group string           `dynamodbav:"g"`
	Tags  []string         `dynamodbav:"tags,stringset"`
	Deep  map[string]inner `dynamodbav:"deep"`
	Blobs [][]byte         `dynamodbav:"blobs,binaryset"`
	At    time.Time        `dynamodbav:"at,unixtime"`
	None  *string          `dynamodbav:"none"`
	Any   []any            `dynamodbav:"any"`
}

type tour struct {
	ctx     context.Context
	db      *dynamodb.Client
	streams *dynamodbstreams.Client
	table   *string
}

const items = 40

func main() {
	told := map[string]bool{}
	tell := func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		service := strings.ReplaceAll(awsmiddleware.GetServiceID(ctx), " ", "-")
		line := fmt.Sprintln("used", service, awsmiddleware.GetOperationName(ctx))
		if !told[line] {
			told[line] = true
			fmt.Print(line)
		}
		return next.HandleInitialize(ctx, in)
	}
	keys := func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "pangea", SecretAccessKey: "pangea"}, nil
	}
	cfg := aws.Config{
		BaseEndpoint: aws.String(os.Args[1]),
		Region:       os.Args[2],
		Credentials:  aws.CredentialsProviderFunc(keys),
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("tell", tell), middleware.After)
		}},
	}
	t := tour{context.Background(), dynamodb.NewFromConfig(cfg), dynamodbstreams.NewFromConfig(cfg),
		aws.String(os.Args[3])}
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"create", t.create}, {"write", t.write}, {"read", t.read}, {"query", t.query},
		{"update", t.update}, {"refusals", t.refusals}, {"records", t.records}, {"delete", t.delete},
	} {
		if err := step.run(); err != nil {
			fmt.Println("failed", step.name, err)
		} else {
			fmt.Println("passed", step.name)
		}
	}
}

func same(wanted, got any) error {
	if !reflect.DeepEqual(wanted, got) {
		return fmt.Errorf("wanted %v, got %v", wanted, got)
	}
	return nil
}

func key(pk string, sk int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: pk},
		"sk": &types.AttributeValueMemberN{Value: fmt.Sprint(sk)},
	}
}

func (t tour) create() error {
	defined := func(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind}
	}
	keyed := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind}
	}
	_, err := t.db.CreateTable(t.ctx, &dynamodb.CreateTableInput{
		TableName:   t.table,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			defined("pk", "S"), defined("sk", "N"), defined("g", "S")},
		KeySchema: []types.KeySchemaElement{keyed("pk", "HASH"), keyed("sk", "RANGE")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("by-g"),
			KeySchema:  []types.KeySchemaElement{keyed("g", "HASH")},
			Projection: &types.Projection{ProjectionType: "ALL"},
		}},
		StreamSpecification: &types.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: "NEW_AND_OLD_IMAGES"},
	})
	if err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(t.db).Wait(
		t.ctx, &dynamodb.DescribeTableInput{TableName: t.table}, time.Minute)
}

func a(sk int) thing {
	return thing{
		PK: "p", SK: sk, Group: fmt.Sprint("g", sk%4), Tags: []string{"x", "y"},
		Deep:  map[string]inner{"k": {"a", []float64{1, 2.5}}},
		Blobs: [][]byte{{3}, {4}}, At: time.Unix(1700000000, 0), Any: []any{1.0, "x", nil, true},
	}
}

func (t tour) write() error {
	for sk := range items {
		item, err := attributevalue.MarshalMap(a(sk))
		if err != nil {
			return err
		}
		put := &dynamodb.PutItemInput{TableName: t.table, Item: item}
		if _, err = t.db.PutItem(t.ctx, put); err != nil {
			return err
		}
	}
	return nil
}

func (t tour) read() error {
	got, err := t.db.GetItem(t.ctx, &dynamodb.GetItemInput{TableName: t.table, Key: key("p", 3)})
	if err != nil {
		return err
	}
	var back thing
	if err = attributevalue.UnmarshalMap(got.Item, &back); err != nil {
		return err
	}
	return same(a(3), back)
}

func (t tour) query() error {
	built, err := expression.NewBuilder().
		WithKeyCondition(expression.Key("pk").Equal(expression.Value("p")).
			And(expression.Key("sk").Between(expression.Value(5), expression.Value(24)))).
		WithFilter(expression.Name("g").In(expression.Value("g1"), expression.Value("g2")).
			And(expression.Name("tags").Contains("x")).
			And(expression.Size(expression.Name("any")).Equal(expression.Value(4)))).
		WithProjection(expression.NamesList(expression.Name("sk"), expression.Name("deep.k.Name"))).
		Build()
	if err != nil {
		return err
	}
	found := 0
	pages := dynamodb.NewQueryPaginator(t.db, &dynamodb.QueryInput{
		TableName: t.table, Limit: aws.Int32(6), KeyConditionExpression: built.KeyCondition(),
		FilterExpression: built.Filter(), ProjectionExpression: built.Projection(),
		ExpressionAttributeNames: built.Names(), ExpressionAttributeValues: built.Values()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.ctx)
		if err != nil {
			return err
		}
		found += len(page.Items)
	}
	scan := dynamodb.NewScanPaginator(t.db, &dynamodb.ScanInput{
		TableName: t.table, IndexName: aws.String("by-g"), Limit: aws.Int32(7)})
	for scan.HasMorePages() {
		page, err := scan.NextPage(t.ctx)
		if err != nil {
			return err
		}
		found += len(page.Items)
	}
	return same(10+items, found)
}

func (t tour) update() error {
	z := expression.Value(&types.AttributeValueMemberSS{Value: []string{"z"}})
	built, err := expression.NewBuilder().
		WithUpdate(expression.
			Set(expression.Name("c"), expression.Plus(
				expression.IfNotExists(expression.Name("c"), expression.Value(0)), expression.Value(2))).
			Add(expression.Name("tags"), z).
			Remove(expression.Name("any[0]"))).
		WithCondition(expression.AttributeExists(expression.Name("pk")).
			And(expression.AttributeType(expression.Name("deep"), expression.Map)).
			And(expression.Not(expression.BeginsWith(expression.Name("g"), "q")))).Build()
	if err != nil {
		return err
	}
	got, err := t.db.UpdateItem(t.ctx, &dynamodb.UpdateItemInput{
		TableName: t.table, Key: key("p", 3), ReturnValues: "ALL_NEW",
		UpdateExpression: built.Update(), ConditionExpression: built.Condition(),
		ExpressionAttributeNames: built.Names(), ExpressionAttributeValues: built.Values()})
	if err != nil {
		return err
	}
	var after struct {
		C    int      `dynamodbav:"c"`
		Tags []string `dynamodbav:"tags"`
		Any  []any    `dynamodbav:"any"`
	}
	if err = attributevalue.UnmarshalMap(got.Attributes, &after); err != nil {
		return err
	}
	return same([]int{2, 3, 3}, []int{after.C, len(after.Tags), len(after.Any)})
}

func (t tour) refusals() error {
	fresh := aws.String("attribute_not_exists(pk)")
	_, err := t.db.PutItem(t.ctx, &dynamodb.PutItemInput{
		TableName: t.table, Item: key("p", 3), ConditionExpression: fresh,
		ReturnValuesOnConditionCheckFailure: "ALL_OLD"})
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) || refused.Item["c"] == nil {
		return fmt.Errorf("a condition: %w", err)
	}
	_, err = t.db.TransactWriteItems(t.ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: t.table, Item: key("t", 1)}},
			{ConditionCheck: &types.ConditionCheck{
				TableName: t.table, Key: key("p", 3), ConditionExpression: fresh}}}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return fmt.Errorf("a transaction: %w", err)
	}
	return same("ConditionalCheckFailed", aws.ToString(cancelled.CancellationReasons[1].Code))
}

func (t tour) records() error {
	described, err := t.db.DescribeTable(t.ctx, &dynamodb.DescribeTableInput{TableName: t.table})
	if err != nil {
		return err
	}
	stream, found := described.Table.LatestStreamArn, 0
	told, err := t.streams.DescribeStream(
		t.ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: stream})
	if err != nil {
		return err
	}
	for _, shard := range told.StreamDescription.Shards {
		start, err := t.streams.GetShardIterator(t.ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: stream, ShardId: shard.ShardId,
			ShardIteratorType: streamtypes.ShardIteratorTypeTrimHorizon})
		if err != nil {
			return err
		}
		for next := start.ShardIterator; next != nil; {
			page, err := t.streams.GetRecords(
				t.ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next, Limit: aws.Int32(9)})
			if err != nil {
				return err
			}
			found += len(page.Records)
			if next = page.NextShardIterator; len(page.Records) == 0 {
				break
			}
		}
	}
	return same(items+1, found)
}

func (t tour) delete() error {
	if _, err := t.db.DeleteTable(t.ctx, &dynamodb.DeleteTableInput{TableName: t.table}); err != nil {
		return err
	}
	described := &dynamodb.DescribeTableInput{TableName: t.table}
	if err := dynamodb.NewTableNotExistsWaiter(t.db).Wait(t.ctx, described, time.Minute); err != nil {
		return err
	}
	_, err := t.db.DescribeTable(t.ctx, described)
	var gone *types.ResourceNotFoundException
	return same(true, errors.As(err, &gone))
}
