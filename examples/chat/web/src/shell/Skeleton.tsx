/** The shape of the chat before it is there. */
export function Skeleton() {
  return (
    <div className="shell-skeleton" role="status" aria-label="Loading the chat">
      <div className="skeleton" />
      <div className="skeleton" />
      <div className="skeleton" />
      <div className="skeleton" />
    </div>
  )
}

/** The shape of messages before they are there. */
export function MessagesSkeleton() {
  return (
    <div className="messages-skeleton" role="status" aria-label="Loading messages">
      {[48, 70, 36, 62, 54].map((width) => (
        <div key={width}>
          <span className="skeleton" />
          <span className="skeleton" style={{ width: `${width}%` }} />
        </div>
      ))}
    </div>
  )
}
