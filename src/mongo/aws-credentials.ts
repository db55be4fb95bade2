/**
 * What the driver asks of `@aws-sdk/credential-providers` for `authMechanism=MONGODB-AWS`: the AWS chain (environment, profile, web
 * identity, container, instance), as reading from S3 has it. The build puts this module in that package's place.
 */
export { defaultProvider as fromNodeProviderChain } from '@aws-sdk/credential-provider-node';
