/** Bounds on what crosses the wire, checked before anything is allocated. Each with the reason for its size. */

export { MAX_CLIENTS, MAX_NAME_LENGTH } from "../base/limits.js";

/** Major version of the protocol. Both sides must speak the same. 3: a client names its tokenizer at enrolment. */
export const PROTOCOL_VERSION = 3;

/** Chunks of 256 KB to 1 MB are the fastest over gRPC on loopback; 4 MB are slower, and a lost chunk costs more. */
export const MAX_CHUNK_BYTES = 1_048_576;

/**
 * One message. A chunk is 1 MiB; the largest others are a training result of `MAX_STEPS` losses at 4 bytes, and a sketching
 * task that names all the answers it may, 1.6 MB. Above all, and small enough that a hundred hostile clients cannot exhaust memory.
 */
export const MAX_MESSAGE_BYTES = 2 * 1_048_576;

/** A blob: far above any adapter (rank 256 on all linears of a 70B model in fp32 is 3.3 GiB). */
export const DEFAULT_MAX_BLOB_BYTES = 4 * 1024 ** 3;

/** Distinct blobs one task may upload. A result names one; the rest is room for retries with other content. */
export const MAX_UPLOADS_PER_TASK = 8;

/** Shorter would be guessable. */
export const MIN_INSTANCE_ID_LENGTH = 16;
export const MAX_INSTANCE_ID_LENGTH = 200;

/** Names of formats have four characters. */
export const MAX_QUANTIZATION_LENGTH = 40;

/** Ids have at most eight digits. */
export const MAX_END_TOKEN_LENGTH = 40;

/** An error's message goes into HTTP/2 trailers, whose usual bound is 8 KB, percent-encoded. */
export const MAX_ERROR_MESSAGE_LENGTH = 2_000;

/** An error's facts, as JSON: see above. */
export const MAX_ERROR_FACTS_LENGTH = 2_000;

/** Steps of one training task: their losses must fit a message. */
export const MAX_STEPS = 262_144;

/** Members of an ensemble. Hundreds of groups would be needed to come near it. */
export const MAX_MEMBERS = 4_096;

/** A member's name is a folder's name at its clients. */
export const MAX_MEMBER_NAME_LENGTH = 100;

/** Mixtures in one evaluation, times members, at 8 bytes each: must fit a message. */
export const MAX_MIXTURE_WEIGHTS = 131_072;
export const MAX_MIXTURES = 16_384;

/** Adapted linears: families have at most about ten. */
export const MAX_MODULES = 64;

/** Rank of an adapter: above it, full fine-tuning is cheaper. */
export const MAX_RANK = 4_096;

/** Tokens of the prefixes of one client's answers: 151 labels, spelt out by a vocabulary of 4,096 tokens, take 800. */
export const MAX_CHOICE_TOKENS = 4_096;

/** Transforms that a client names at its enrolment: room for those of many later versions. */
export const MAX_CLIENT_TRANSFORMS = 32;
export const MAX_TRANSFORM_NAME_LENGTH = 40;

/** Transforms of one update. */
export const MAX_TRANSFORMS = 8;

/** Examples in one step. */
export const MAX_BATCH = 65_536;

/** A long poll: below the idle timeouts of common proxies (60 s), long enough that idle clients cost nothing. */
export const LONGEST_WAIT_MS = 25_000;
