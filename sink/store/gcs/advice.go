package gcs

import "strings"

// advice is what a reason means and what to do about it. The texts use the words BUCKET,
// OBJECT, PERMISSION and ROLE for values of the call.
type advice struct {
	// reasons are those of the JSON API, of the XML API where its name differs in more
	// than case, and of https://cloud.google.com/apis/design/errors.
	reasons []string
	means   string
	do      string
	// general marks reasons that the service returns for several causes.
	general bool
}

// advices is also the table in docs/gcs.md.
//
// The reasons are listed in https://cloud.google.com/storage/docs/json_api/v1/status-codes,
// https://cloud.google.com/storage/docs/xml-api/reference-status,
// https://cloud.google.com/storage/docs/troubleshooting and, in capitals,
// https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto.
var advices = []advice{
	{
		reasons: []string{"forbidden", "insufficientPermissions", "AccessDenied", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED"},
		means:   "the credentials lack the permission",
		do: "they need PERMISSION, for example through ROLE " +
			"(gcloud storage buckets add-iam-policy-binding gs://BUCKET --member=MEMBER --role=ROLE)",
		general: true,
	},
	{
		reasons: []string{"authError", "UNAUTHENTICATED", "CREDENTIALS_MISSING", "ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_TYPE_UNSUPPORTED",
			"AuthenticationRequired", "AuthenticationRequiredRequesterPays", "ExpiredToken", "InvalidSecurity"},
		means: "the credentials are invalid or have expired",
		do: "log in again (gcloud auth application-default login), or check the setting credentials, " +
			"the variable GOOGLE_APPLICATION_CREDENTIALS and the clock of this machine",
	},
	{
		reasons: []string{"ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
		means:   "the access token does not have the scope of Cloud Storage",
		do: "on a virtual machine, stop it and set the scope (gcloud compute instances set-service-account VM --scopes=cloud-platform); " +
			"elsewhere, log in again (gcloud auth application-default login)",
	},
	{
		reasons: []string{"NoSuchBucket", "BucketNotFound"},
		means:   "the bucket BUCKET does not exist",
		do:      "create it (gcloud storage buckets create gs://BUCKET --location=LOCATION), or use another one",
	},
	{
		reasons: []string{"retentionPolicyNotMet"},
		means:   "the object is under retention, so it cannot be replaced or deleted yet",
		do: "wait until its retention ends, or remove a retention policy that is not locked " +
			"(gcloud storage buckets update gs://BUCKET --clear-retention-period); a lake and a state need a bucket without retention",
	},
	{
		reasons: []string{"objectUnderActiveHold"},
		means:   "the object has a hold, so it cannot be replaced or deleted",
		do:      "release the hold (gcloud storage objects update OBJECT --no-temporary-hold --no-event-based-hold)",
	},
	{
		reasons: []string{"accountDisabled", "AccountProblem", "BILLING_DISABLED", "billingNotEnabled", "CONSUMER_SUSPENDED"},
		means:   "the project that owns the bucket is disabled, usually because its billing is",
		do:      "check its billing account (gcloud billing projects describe PROJECT_ID)",
	},
	{
		reasons: []string{"UserProjectAccountProblem"},
		means:   "the project to which the request is billed has a problem, usually with its billing account",
		do: "check the account (gcloud billing projects describe PROJECT_ID), or let another project pay: set user_project, " +
			"or the quota project of the credentials (gcloud auth application-default set-quota-project PROJECT_ID)",
	},
	{
		reasons: []string{"userProjectMissing"},
		means:   "the bucket has Requester Pays, and the request names no project that pays",
		do:      "set user_project to the ID of a project that pays",
	},
	{
		reasons: []string{"userProjectInvalid", "userProjectInconsistent", "CONSUMER_INVALID"},
		means:   "the project to which the request is billed does not exist, or is not that of an earlier, related request",
		do:      "set user_project to the ID of an existing project (gcloud projects list)",
	},
	{
		reasons: []string{"UserProjectAccessDenied", "USER_PROJECT_DENIED"},
		means:   "the credentials may not bill requests to the project",
		do: "grant them serviceusage.services.use (gcloud projects add-iam-policy-binding PROJECT_ID " +
			"--member=MEMBER --role=roles/serviceusage.serviceUsageConsumer)",
	},
	{
		reasons: []string{"accessNotConfigured", "usageLimits.accessNotConfigured", "SERVICE_DISABLED"},
		means:   "the Cloud Storage API is not enabled in the project to which the request is billed",
		do:      "enable it (gcloud services enable storage.googleapis.com --project=PROJECT_ID)",
	},
	{
		reasons: []string{"kmsPermissionDenied"},
		means:   "Cloud Storage may not use the Cloud KMS key",
		do: "authorize its service agent (gcloud storage service-agent --project=PROJECT_ID --authorize-cmek=KEY), " +
			"and run the command again after some minutes",
	},
	{
		reasons: []string{"cloudKmsDisabledKey"},
		means:   "the Cloud KMS key is disabled, destroyed or scheduled to be destroyed",
		do: "enable its version (gcloud kms keys versions enable VERSION --key=KEY --keyring=RING --location=LOCATION), " +
			"after a restore if its destruction is scheduled; objects that a destroyed key has encrypted are lost",
	},
	{
		reasons: []string{"cloudKmsBadKey", "cloudKmsEncryptionKeyNotFound", "cloudKmsDecryptionKeyNotFound", "cloudKmsCannotChangeKeyName"},
		means:   "the Cloud KMS key does not exist or cannot encrypt objects",
		do: "check kms_key_name, and the bucket's default key " +
			`(gcloud storage buckets describe gs://BUCKET --format="default(default_kms_key)")`,
	},
	{
		reasons: []string{"cloudKmsKeyLocationNotAllowed"},
		means:   "the Cloud KMS key is in another location than the bucket",
		do: "use a key in the bucket's location " +
			`(gcloud storage buckets describe gs://BUCKET --format="default(location)")`,
	},
	{
		reasons: []string{"resourceIsEncryptedWithCustomerEncryptionKey", "resourceNotEncryptedWithCustomerEncryptionKey",
			"customerEncryptionKeyIsIncorrect", "customerEncryptionKeyFormatIsInvalid", "customerEncryptionKeySha256IsInvalid",
			"customerEncryptionAlgorithmIsInvalid", "ResourceIsEncryptedWithCustomerKey"},
		means: "the object is encrypted with a customer-supplied key, and prospector has no such key",
		do: "encrypt it with a key of Google instead " +
			"(gcloud storage objects update OBJECT --clear-encryption-key --decryption-keys=KEY)",
	},
	{
		reasons: []string{"orgPolicyConstraintFailed"},
		means:   "the request violates a policy of the organization",
		do: "see the policy (gcloud org-policies describe CONSTRAINT --project=PROJECT_ID --effective), or ask its administrator; " +
			"if it requires Cloud KMS keys, set kms_key_name",
	},
	{
		reasons: []string{"vpcServiceControls", "SECURITY_POLICY_VIOLATED", "VPC_SERVICE_CONTROLS", "policyViolation"},
		means:   "VPC Service Controls of the organization refuse the request",
		do: "run prospector inside the perimeter, or ask the administrator for an ingress rule for these credentials; " +
			"the audit log of the project shows the violated rule",
	},
	{
		reasons: []string{"rateLimitExceeded", "userRateLimitExceeded", "usageLimits.rateLimitExceeded", "SlowDown", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"},
		means:   "Cloud Storage gets too many requests",
		do:      "run the command again later, or lower parallelism; https://cloud.google.com/storage/quotas lists the limits",
	},
	{
		reasons: []string{"quotaExceeded", "dailyLimitExceeded", "RESOURCE_QUOTA_EXCEEDED"},
		means:   "a quota of the project is used up",
		do:      "wait until it refills, or request a higher one at https://console.cloud.google.com/iam-admin/quotas",
	},
	{
		reasons: []string{"backendError", "internalError", "gatewayTimeout", "ServiceUnavailable", "UNAVAILABLE", "INTERNAL"},
		means:   "Cloud Storage has a problem",
		do:      "run the command again later; https://status.cloud.google.com shows known problems",
	},
	{
		reasons: []string{"uploadBrokenConnection", "RequestTimeout"},
		means:   "Cloud Storage has waited too long for the data",
		do:      "run the command again; on a slow connection, lower parallelism",
	},
	{
		reasons: []string{"conflict", "OperationAborted", "ABORTED"},
		means:   "another request changes the bucket or the object at the same time",
		do:      "make sure that no other program writes there, and run the command again",
	},
	{
		reasons: []string{"invalidStorageClass"},
		means:   "the bucket does not accept the storage class",
		do:      "set storage_class to STANDARD, NEARLINE, COLDLINE or ARCHIVE, or remove it to use the bucket's default",
	},
	{
		reasons: []string{"invalid", "invalidArgument", "invalidParameter", "badRequest", "required", "INVALID_ARGUMENT", "FAILED_PRECONDITION"},
		means:   "Cloud Storage does not accept a value of the request",
		do:      "check storage_class, kms_key_name, metadata and user_project",
		general: true,
	},
	{
		reasons: []string{"sslRequired"},
		means:   "the request is not encrypted",
		do:      "begin endpoint with https://",
	},
	{
		reasons: []string{"methodNotAllowed", "turnedDown", "notUpload", "notDownload", "wrongUrlForUpload"},
		means:   "the address is not that of the Cloud Storage JSON API",
		do:      "check endpoint, the variable STORAGE_EMULATOR_HOST and the proxy",
	},
	{
		reasons: []string{"invalid_grant"},
		means:   "the credentials were revoked or have expired, or the clock of this machine is wrong",
		do: "check the clock; then log in again (gcloud auth application-default login), or create a new key of the service account " +
			"and set credentials to it",
	},
	{
		reasons: []string{"invalid_client", "unauthorized_client", "deleted_client", "invalid_target", "invalid_request", "invalid_scope", "access_denied"},
		means:   "the service that issues access tokens does not accept the credentials",
		do: "log in again (gcloud auth application-default login), or create the file that credentials or GOOGLE_APPLICATION_CREDENTIALS names again; " +
			"for workload identity federation, check its pool and provider",
	},
}

// adviceByReason maps reasons in lower case to their advice. The names of the two APIs
// mostly differ only in case.
var adviceByReason = func() map[string]*advice {
	m := make(map[string]*advice)
	for i := range advices {
		for _, reason := range advices[i].reasons {
			m[strings.ToLower(reason)] = &advices[i]
		}
	}
	return m
}()

func find(reason string) *advice { return adviceByReason[strings.ToLower(reason)] }
