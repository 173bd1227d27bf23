import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from './kindred/v1/BlobRef.js';
import type { BlobsClient as _kindred_v1_BlobsClient, BlobsDefinition as _kindred_v1_BlobsDefinition } from './kindred/v1/Blobs.js';
import type { Chunk as _kindred_v1_Chunk, Chunk__Output as _kindred_v1_Chunk__Output } from './kindred/v1/Chunk.js';
import type { Cost as _kindred_v1_Cost, Cost__Output as _kindred_v1_Cost__Output } from './kindred/v1/Cost.js';
import type { DownloadRequest as _kindred_v1_DownloadRequest, DownloadRequest__Output as _kindred_v1_DownloadRequest__Output } from './kindred/v1/DownloadRequest.js';
import type { RowCounts as _kindred_v1_RowCounts, RowCounts__Output as _kindred_v1_RowCounts__Output } from './kindred/v1/RowCounts.js';
import type { UploadHeader as _kindred_v1_UploadHeader, UploadHeader__Output as _kindred_v1_UploadHeader__Output } from './kindred/v1/UploadHeader.js';
import type { UploadMessage as _kindred_v1_UploadMessage, UploadMessage__Output as _kindred_v1_UploadMessage__Output } from './kindred/v1/UploadMessage.js';
import type { UploadReply as _kindred_v1_UploadReply, UploadReply__Output as _kindred_v1_UploadReply__Output } from './kindred/v1/UploadReply.js';
import type { UploadStatusReply as _kindred_v1_UploadStatusReply, UploadStatusReply__Output as _kindred_v1_UploadStatusReply__Output } from './kindred/v1/UploadStatusReply.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  kindred: {
    v1: {
      BlobRef: MessageTypeDefinition<_kindred_v1_BlobRef, _kindred_v1_BlobRef__Output>
      Blobs: SubtypeConstructor<typeof grpc.Client, _kindred_v1_BlobsClient> & { service: _kindred_v1_BlobsDefinition }
      Chunk: MessageTypeDefinition<_kindred_v1_Chunk, _kindred_v1_Chunk__Output>
      Cost: MessageTypeDefinition<_kindred_v1_Cost, _kindred_v1_Cost__Output>
      DownloadRequest: MessageTypeDefinition<_kindred_v1_DownloadRequest, _kindred_v1_DownloadRequest__Output>
      RowCounts: MessageTypeDefinition<_kindred_v1_RowCounts, _kindred_v1_RowCounts__Output>
      Split: EnumTypeDefinition
      UploadHeader: MessageTypeDefinition<_kindred_v1_UploadHeader, _kindred_v1_UploadHeader__Output>
      UploadMessage: MessageTypeDefinition<_kindred_v1_UploadMessage, _kindred_v1_UploadMessage__Output>
      UploadReply: MessageTypeDefinition<_kindred_v1_UploadReply, _kindred_v1_UploadReply__Output>
      UploadStatusReply: MessageTypeDefinition<_kindred_v1_UploadStatusReply, _kindred_v1_UploadStatusReply__Output>
    }
  }
}

