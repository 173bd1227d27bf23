// Original file: proto/kindred/v1/blobs.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { Chunk as _kindred_v1_Chunk, Chunk__Output as _kindred_v1_Chunk__Output } from '../../kindred/v1/Chunk.js';
import type { DownloadRequest as _kindred_v1_DownloadRequest, DownloadRequest__Output as _kindred_v1_DownloadRequest__Output } from '../../kindred/v1/DownloadRequest.js';
import type { UploadHeader as _kindred_v1_UploadHeader, UploadHeader__Output as _kindred_v1_UploadHeader__Output } from '../../kindred/v1/UploadHeader.js';
import type { UploadMessage as _kindred_v1_UploadMessage, UploadMessage__Output as _kindred_v1_UploadMessage__Output } from '../../kindred/v1/UploadMessage.js';
import type { UploadReply as _kindred_v1_UploadReply, UploadReply__Output as _kindred_v1_UploadReply__Output } from '../../kindred/v1/UploadReply.js';
import type { UploadStatusReply as _kindred_v1_UploadStatusReply, UploadStatusReply__Output as _kindred_v1_UploadStatusReply__Output } from '../../kindred/v1/UploadStatusReply.js';

export interface BlobsClient extends grpc.Client {
  Download(argument: _kindred_v1_DownloadRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_kindred_v1_Chunk__Output>;
  Download(argument: _kindred_v1_DownloadRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_kindred_v1_Chunk__Output>;
  download(argument: _kindred_v1_DownloadRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_kindred_v1_Chunk__Output>;
  download(argument: _kindred_v1_DownloadRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_kindred_v1_Chunk__Output>;
  
  Upload(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  Upload(metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  Upload(options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  Upload(callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  upload(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  upload(metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  upload(options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  upload(callback: grpc.requestCallback<_kindred_v1_UploadReply__Output>): grpc.ClientWritableStream<_kindred_v1_UploadMessage>;
  
  UploadStatus(argument: _kindred_v1_UploadHeader, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  UploadStatus(argument: _kindred_v1_UploadHeader, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  UploadStatus(argument: _kindred_v1_UploadHeader, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  UploadStatus(argument: _kindred_v1_UploadHeader, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  uploadStatus(argument: _kindred_v1_UploadHeader, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  uploadStatus(argument: _kindred_v1_UploadHeader, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  uploadStatus(argument: _kindred_v1_UploadHeader, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  uploadStatus(argument: _kindred_v1_UploadHeader, callback: grpc.requestCallback<_kindred_v1_UploadStatusReply__Output>): grpc.ClientUnaryCall;
  
}

export interface BlobsHandlers extends grpc.UntypedServiceImplementation {
  Download: grpc.handleServerStreamingCall<_kindred_v1_DownloadRequest__Output, _kindred_v1_Chunk>;
  
  Upload: grpc.handleClientStreamingCall<_kindred_v1_UploadMessage__Output, _kindred_v1_UploadReply>;
  
  UploadStatus: grpc.handleUnaryCall<_kindred_v1_UploadHeader__Output, _kindred_v1_UploadStatusReply>;
  
}

export interface BlobsDefinition extends grpc.ServiceDefinition {
  Download: MethodDefinition<_kindred_v1_DownloadRequest, _kindred_v1_Chunk, _kindred_v1_DownloadRequest__Output, _kindred_v1_Chunk__Output>
  Upload: MethodDefinition<_kindred_v1_UploadMessage, _kindred_v1_UploadReply, _kindred_v1_UploadMessage__Output, _kindred_v1_UploadReply__Output>
  UploadStatus: MethodDefinition<_kindred_v1_UploadHeader, _kindred_v1_UploadStatusReply, _kindred_v1_UploadHeader__Output, _kindred_v1_UploadStatusReply__Output>
}
