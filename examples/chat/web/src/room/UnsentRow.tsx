import type { Member, User } from '../api/types'
import type { Outgoing } from '../state/outbox'
import { Avatar, hueOf } from '../ui/Avatar'
import { Icon } from '../ui/Icon'
import { Attachment } from './Attachment'
import { MessageText } from './MessageText'

interface Props {
  out: Outgoing
  head: boolean
  me: User
  members: Member[] | null
  onRetry(clientId: string): void
  onDiscard(clientId: string): void
}

/** A message that the server does not have yet. */
export function UnsentRow({ out, head, me, members, onRetry, onDiscard }: Props) {
  const failed = out.state === 'failed'
  return (
    <article
      className={`message mine unsent${head ? ' head' : ''}`}
      tabIndex={-1}
      data-testid="unsent"
      data-state={out.state}
      aria-label={failed ? 'You, not sent' : 'You, being sent'}
    >
      {head ? <Avatar id={me.id} name={me.name} /> : <span className="gutter" />}
      <div className="content">
        {head && (
          <p className="author">
            <bdi className="name" style={{ color: hueOf(me.id) }}>
              {me.name}
            </bdi>
          </p>
        )}
        <div className="bubble">
          {out.replyTo && (
            <span className="quote">
              <bdi className="name">{out.replyTo.sender_name}</bdi>
              <span className="cut">{out.replyTo.message}</span>
            </span>
          )}
          {out.text && <MessageText message={{ message: out.text, mentions: [] }} me={me.id} members={members} />}
          {out.file && <Attachment file={out.file} onOpen={() => undefined} />}
          {!failed && (
            <span className="clock" title="On its way">
              <Icon name="clock" size={14} />
            </span>
          )}
        </div>
        {out.problem && (
          <div className="warning unsent-problem" role="status" data-testid="unsent-problem">
            <p>
              <Icon name="warn" size={16} />
              {out.problem}
            </p>
            <span>
              {failed && (
                <button type="button" className="button bare" data-testid="retry" onClick={() => onRetry(out.clientId)}>
                  Retry
                </button>
              )}
              <button type="button" className="button bare" data-testid="discard" onClick={() => onDiscard(out.clientId)}>
                Delete
              </button>
            </span>
          </div>
        )}
      </div>
    </article>
  )
}
