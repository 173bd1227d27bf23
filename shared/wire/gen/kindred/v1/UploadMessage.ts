// Original file: proto/kindred/v1/blobs.proto

import type { UploadHeader as _kindred_v1_UploadHeader, UploadHeader__Output as _kindred_v1_UploadHeader__Output } from '../../kindred/v1/UploadHeader.js';
import type { Chunk as _kindred_v1_Chunk, Chunk__Output as _kindred_v1_Chunk__Output } from '../../kindred/v1/Chunk.js';

export interface UploadMessage {
  'header'?: (_kindred_v1_UploadHeader | null);
  'chunk'?: (_kindred_v1_Chunk | null);
  'part'?: "header"|"chunk";
}

export interface UploadMessage__Output {
  'header'?: (_kindred_v1_UploadHeader__Output | null);
  'chunk'?: (_kindred_v1_Chunk__Output | null);
  'part'?: "header"|"chunk";
}
