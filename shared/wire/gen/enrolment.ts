import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from './kindred/v1/BlobRef.js';
import type { Cost as _kindred_v1_Cost, Cost__Output as _kindred_v1_Cost__Output } from './kindred/v1/Cost.js';
import type { EnrolReply as _kindred_v1_EnrolReply, EnrolReply__Output as _kindred_v1_EnrolReply__Output } from './kindred/v1/EnrolReply.js';
import type { EnrolRequest as _kindred_v1_EnrolRequest, EnrolRequest__Output as _kindred_v1_EnrolRequest__Output } from './kindred/v1/EnrolRequest.js';
import type { EnrolmentClient as _kindred_v1_EnrolmentClient, EnrolmentDefinition as _kindred_v1_EnrolmentDefinition } from './kindred/v1/Enrolment.js';
import type { RowCounts as _kindred_v1_RowCounts, RowCounts__Output as _kindred_v1_RowCounts__Output } from './kindred/v1/RowCounts.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  kindred: {
    v1: {
      BlobRef: MessageTypeDefinition<_kindred_v1_BlobRef, _kindred_v1_BlobRef__Output>
      Cost: MessageTypeDefinition<_kindred_v1_Cost, _kindred_v1_Cost__Output>
      EnrolReply: MessageTypeDefinition<_kindred_v1_EnrolReply, _kindred_v1_EnrolReply__Output>
      EnrolRequest: MessageTypeDefinition<_kindred_v1_EnrolRequest, _kindred_v1_EnrolRequest__Output>
      Enrolment: SubtypeConstructor<typeof grpc.Client, _kindred_v1_EnrolmentClient> & { service: _kindred_v1_EnrolmentDefinition }
      RowCounts: MessageTypeDefinition<_kindred_v1_RowCounts, _kindred_v1_RowCounts__Output>
      Split: EnumTypeDefinition
    }
  }
}

